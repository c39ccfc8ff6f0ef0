"""Code as tutorials write it, each with the network that it means: what a person pastes most often."""

from dataclasses import dataclass

from playground.core.architecture import Architecture, InputShape
from playground.core.layers import (
    Activation,
    AvgPool2d,
    BatchNorm,
    Conv2d,
    Dropout,
    Flatten,
    GlobalAvgPool,
    Layer,
    Linear,
    MaxPool2d,
    Output,
    Residual,
    ZeroPad2d,
)
from playground.core.layers.separable_conv2d import SeparableConv2d


@dataclass(frozen=True)
class Tutorial:
    """Code, its architecture, and a part of every note in order."""

    name: str
    code: str
    architecture: Architecture
    notes: tuple[str, ...] = ()


def _net(*layers: Layer, shape: tuple[int, int, int] = (1, 28, 28), classes: int = 10) -> Architecture:
    channels, height, width = shape
    return Architecture(
        input=InputShape(channels=channels, height=height, width=width), classes=classes, layers=tuple(layers)
    )


def _conv(out_channels: int, kernel_size: int = 3, **fields: object) -> Conv2d:
    return Conv2d.model_validate({"out_channels": out_channels, "kernel_size": kernel_size, **fields})


_FOLLOWS = "was inferred from the sizes"
_KERAS_MOMENTUM = "momentum 0.99 in Keras is 0.01"

TUTORIALS = (
    Tutorial(
        "keras.io: Simple MNIST convnet",
        """
import numpy as np
import keras
from keras import layers

num_classes = 10
input_shape = (28, 28, 1)
(x_train, y_train), (x_test, y_test) = keras.datasets.mnist.load_data()
x_train = x_train.astype("float32") / 255
x_train = np.expand_dims(x_train, -1)
print("x_train shape:", x_train.shape)
y_train = keras.utils.to_categorical(y_train, num_classes)

model = keras.Sequential(
    [
        keras.Input(shape=input_shape),
        layers.Conv2D(32, kernel_size=(3, 3), activation="relu"),
        layers.MaxPooling2D(pool_size=(2, 2)),
        layers.Conv2D(64, kernel_size=(3, 3), activation="relu"),
        layers.MaxPooling2D(pool_size=(2, 2)),
        layers.Flatten(),
        layers.Dropout(0.5),
        layers.Dense(num_classes, activation="softmax"),
    ]
)
model.summary()
batch_size = 128
epochs = 15
model.compile(loss="categorical_crossentropy", optimizer="adam", metrics=["accuracy"])
model.fit(x_train, y_train, batch_size=batch_size, epochs=epochs, validation_split=0.1)
score = model.evaluate(x_test, y_test, verbose=0)
print("Test loss:", score[0])
""",
        _net(_conv(32), MaxPool2d(), _conv(64), MaxPool2d(), Flatten(), Dropout(p=0.5), Output()),
    ),
    Tutorial(
        "Keras 2: mnist_cnn.py",
        """
from __future__ import print_function
import keras
from keras.models import Sequential
from keras.layers import Dense, Dropout, Flatten
from keras.layers import Conv2D, MaxPooling2D
from keras import backend as K

num_classes = 10
img_rows, img_cols = 28, 28
(x_train, y_train), (x_test, y_test) = mnist.load_data()
if K.image_data_format() == 'channels_first':
    x_train = x_train.reshape(x_train.shape[0], 1, img_rows, img_cols)
    input_shape = (1, img_rows, img_cols)
else:
    x_train = x_train.reshape(x_train.shape[0], img_rows, img_cols, 1)
    input_shape = (img_rows, img_cols, 1)
x_train /= 255

model = Sequential()
model.add(Conv2D(32, kernel_size=(3, 3),
                 activation='relu',
                 input_shape=input_shape))
model.add(Conv2D(64, (3, 3), activation='relu'))
model.add(MaxPooling2D(pool_size=(2, 2)))
model.add(Dropout(0.25))
model.add(Flatten())
model.add(Dense(128, activation='relu'))
model.add(Dropout(0.5))
model.add(Dense(num_classes, activation='softmax'))

model.compile(loss=keras.losses.categorical_crossentropy, optimizer=keras.optimizers.Adadelta())
""",
        _net(
            *(_conv(32), _conv(64), MaxPool2d(), Dropout(p=0.25)),
            *(Flatten(), Linear(out_features=128), Dropout(p=0.5), Output()),
        ),
    ),
    Tutorial(
        "Keras 1: cats and dogs",
        """
# Part 1 - Building the CNN
from keras.models import Sequential
from keras.layers import Convolution2D, MaxPooling2D, Flatten, Dense

# Initialising the CNN
classifier = Sequential()
classifier.add(Convolution2D(32, 3, 3, input_shape = (64, 64, 3), activation = 'relu'))
classifier.add(MaxPooling2D(pool_size = (2, 2)))
classifier.add(Convolution2D(32, 3, 3, activation = 'relu'))
classifier.add(MaxPooling2D(pool_size = (2, 2)))
classifier.add(Flatten())
classifier.add(Dense(output_dim = 128, activation = 'relu'))
classifier.add(Dense(output_dim = 1, activation = 'sigmoid'))
classifier.compile(optimizer = 'adam', loss = 'binary_crossentropy', metrics = ['accuracy'])

# Part 2 - Fitting the CNN to the images
from keras.preprocessing.image import ImageDataGenerator
train_datagen = ImageDataGenerator(rescale = 1./255, shear_range = 0.2, zoom_range = 0.2, horizontal_flip = True)
training_set = train_datagen.flow_from_directory('dataset/training_set', target_size = (64, 64), batch_size = 32)
classifier.fit_generator(training_set, samples_per_epoch = 8000, nb_epoch = 25)
""",
        _net(
            *(_conv(32), MaxPool2d(), _conv(32), MaxPool2d()),
            *(Flatten(), Linear(out_features=128), Output(activation="sigmoid")),
            shape=(3, 64, 64),
            classes=2,
        ),
    ),
    Tutorial(
        "Keras 2: cats and dogs, second version",
        """
cnn = tf.keras.models.Sequential()
cnn.add(tf.keras.layers.Conv2D(filters=32, kernel_size=3, activation='relu', input_shape=[64, 64, 3]))
cnn.add(tf.keras.layers.MaxPool2D(pool_size=2, strides=2))
cnn.add(tf.keras.layers.Flatten())
cnn.add(tf.keras.layers.Dense(units=128, activation='relu'))
cnn.add(tf.keras.layers.Dense(units=1, activation='sigmoid'))
""",
        _net(
            *(_conv(32), MaxPool2d(), Flatten(), Linear(out_features=128), Output(activation="sigmoid")),
            shape=(3, 64, 64),
            classes=2,
        ),
    ),
    Tutorial(
        "tensorflow.org: CIFAR-10",
        """
import tensorflow as tf
from tensorflow.keras import datasets, layers, models
(train_images, train_labels), (test_images, test_labels) = datasets.cifar10.load_data()
class_names = ['airplane', 'automobile', 'bird', 'cat', 'deer', 'dog', 'frog', 'horse', 'ship', 'truck']
for i in range(25):
    plt.subplot(5,5,i+1)
    plt.xlabel(class_names[train_labels[i][0]])

model = models.Sequential()
model.add(layers.Conv2D(32, (3, 3), activation='relu', input_shape=(32, 32, 3)))
model.add(layers.MaxPooling2D((2, 2)))
model.add(layers.Conv2D(64, (3, 3), activation='relu'))
model.add(layers.MaxPooling2D((2, 2)))
model.add(layers.Conv2D(64, (3, 3), activation='relu'))
model.summary()
model.add(layers.Flatten())
model.add(layers.Dense(64, activation='relu'))
model.add(layers.Dense(10))
history = model.fit(train_images, train_labels, epochs=10, validation_data=(test_images, test_labels))
""",
        _net(
            *(_conv(32), MaxPool2d(), _conv(64), MaxPool2d(), _conv(64)),
            *(Flatten(), Linear(out_features=64), Output()),
            shape=(3, 32, 32),
        ),
    ),
    Tutorial(
        "tensorflow.org: images from a folder",
        """
img_height = 180
img_width = 180
data_augmentation = keras.Sequential(
  [
    layers.RandomFlip("horizontal", input_shape=(img_height, img_width, 3)),
    layers.RandomRotation(0.1),
  ]
)
num_classes = len(class_names)
model = Sequential([
  data_augmentation,
  layers.Rescaling(1./255),
  layers.Conv2D(16, 3, padding='same', activation='relu'),
  layers.MaxPooling2D(),
  layers.Dropout(0.2),
  layers.Flatten(),
  layers.Dense(128, activation='relu'),
  layers.Dense(num_classes, name="outputs")
])
""",
        _net(
            *(_conv(16, padding="same"), MaxPool2d(), Dropout(p=0.2)),
            *(Flatten(), Linear(out_features=128), Output()),
            shape=(3, 180, 180),
        ),
        ("RandomFlip is omitted", "RandomRotation is omitted", "Rescaling is omitted", "number of classes"),
    ),
    Tutorial(
        "tensorflow.org: quickstart for beginners",
        """
model = tf.keras.models.Sequential([
  tf.keras.layers.Flatten(input_shape=(28, 28)),
  tf.keras.layers.Dense(128, activation=tf.nn.relu),
  tf.keras.layers.Dropout(0.2),
  tf.keras.layers.Dense(10)
])
predictions = model(x_train[:1]).numpy()
probability_model = tf.keras.Sequential([
  model,
  tf.keras.layers.Softmax()
])
""",
        _net(Flatten(), Linear(out_features=128), Dropout(p=0.2), Output()),
    ),
    Tutorial(
        "tensorflow.org: quickstart for experts",
        """
class MyModel(Model):
  def __init__(self):
    super().__init__()
    self.conv1 = Conv2D(32, 3, activation='relu')
    self.flatten = Flatten()
    self.d1 = Dense(128, activation='relu')
    self.d2 = Dense(10)

  def call(self, x):
    x = self.conv1(x)
    x = self.flatten(x)
    x = self.d1(x)
    return self.d2(x)

model = MyModel()

@tf.function
def train_step(images, labels):
  with tf.GradientTape() as tape:
    predictions = model(images, training=True)
    loss = loss_object(labels, predictions)
""",
        _net(_conv(32), Flatten(), Linear(out_features=128), Output()),
        ("is assumed",),
    ),
    Tutorial(
        "Keras: old ways to say 'same', batch norm, activations as layers",
        """
model = Sequential()
model.add(Conv2D(32, (3, 3), padding='same', kernel_initializer='he_uniform', input_shape=x_train.shape[1:]))
model.add(BatchNormalization())
model.add(Activation('relu'))
model.add(Convolution2D(64, 5, 5, border_mode='same', subsample=(1, 1)))
model.add(LeakyReLU(alpha=0.1))
model.add(AveragePooling2D(pool_size=(2, 2), strides=2))
model.add(GlobalAveragePooling2D())
model.add(Dense(nb_classes))
model.add(Activation('softmax'))
""",
        _net(
            _conv(32, padding="same", activation="none"),
            BatchNorm(momentum=0.01, eps=1e-3),
            Activation(),
            _conv(64, 5, padding="same", activation="none"),
            Activation(activation="leaky_relu", negative_slope=0.1),
            AvgPool2d(),
            GlobalAvgPool(),
            Output(),
        ),
        ("kernel_initializer", _KERAS_MOMENTUM, "number of classes", "is assumed"),
    ),
    Tutorial(
        "Keras: LeNet.build as a static method",
        """
class LeNet:
    @staticmethod
    def build(width, height, depth, classes):
        model = Sequential()
        inputShape = (height, width, depth)
        if K.image_data_format() == "channels_first":
            inputShape = (depth, height, width)
        model.add(Conv2D(20, (5, 5), padding="same", input_shape=inputShape))
        model.add(Activation("relu"))
        model.add(MaxPooling2D(pool_size=(2, 2), strides=(2, 2)))
        model.add(Flatten())
        model.add(Dense(500))
        model.add(Activation("relu"))
        model.add(Dense(classes))
        model.add(Activation("softmax"))
        return model

model = LeNet.build(width=28, height=28, depth=1, classes=12)
""",
        _net(_conv(20, 5, padding="same"), MaxPool2d(), Flatten(), Linear(out_features=500), Output(), classes=12),
    ),
    Tutorial(
        "Keras: functional, with a block",
        """
inputs = keras.Input(shape=(32, 32, 3), name="img")
x = layers.Conv2D(32, 3, activation="relu")(inputs)
block_1_output = layers.MaxPooling2D(2)(x)
x = layers.Conv2D(32, 3, activation="relu", padding="same")(block_1_output)
x = layers.Conv2D(32, 3, padding="same")(x)
x = layers.add([x, block_1_output])
x = layers.GlobalAveragePooling2D()(x)
outputs = layers.Dense(10, activation="softmax")(x)
model = keras.Model(inputs, outputs, name="toy_resnet")
""",
        _net(
            *(_conv(32), MaxPool2d()),
            Residual(
                layers=(_conv(32, padding="same"), _conv(32, padding="same", activation="none")), activation="none"
            ),
            *(GlobalAvgPool(), Output()),
            shape=(3, 32, 32),
        ),
    ),
    Tutorial(
        "Keras: separable convolutions",
        """
model = Sequential([
    Input((32, 32, 3)),
    Conv2D(8, 3, strides=2, padding="same"),
    SeparableConv2D(16, 3, activation="relu", padding="same"),
    DepthwiseConv2D(3, use_bias=False),
    GlobalAveragePooling2D(),
    Dense(5, activation="softmax"),
])
""",
        _net(
            ZeroPad2d(left=0, right=1, top=0, bottom=1),
            _conv(8, stride=2, activation="none"),
            SeparableConv2d(out_channels=16, padding="same"),
            _conv(16, groups=16, bias=False, activation="none"),
            GlobalAvgPool(),
            Output(),
            shape=(3, 32, 32),
            classes=5,
        ),
        (),
    ),
    Tutorial(
        "pytorch.org: training a classifier",
        """
import torch.nn as nn
import torch.nn.functional as F

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 5)
        self.pool = nn.MaxPool2d(2, 2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(16 * 5 * 5, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)

    def forward(self, x):
        x = self.pool(F.relu(self.conv1(x)))
        x = self.pool(F.relu(self.conv2(x)))
        x = torch.flatten(x, 1) # flatten all dimensions except batch
        x = F.relu(self.fc1(x))
        x = F.relu(self.fc2(x))
        x = self.fc3(x)
        return x


net = Net()
criterion = nn.CrossEntropyLoss()
optimizer = optim.SGD(net.parameters(), lr=0.001, momentum=0.9)
for epoch in range(2):  # loop over the dataset multiple times
    running_loss = 0.0
    for i, data in enumerate(trainloader, 0):
        inputs, labels = data
        optimizer.zero_grad()
        outputs = net(inputs)
        loss = criterion(outputs, labels)
        loss.backward()
        running_loss += loss.item()
        if i % 2000 == 1999:
            print(f'[{epoch + 1}, {i + 1:5d}] loss: {running_loss / 2000:.3f}')
""",
        _net(
            *(_conv(6, 5), MaxPool2d(), _conv(16, 5), MaxPool2d()),
            *(Flatten(), Linear(out_features=120), Linear(out_features=84), Output()),
            shape=(3, 32, 32),
        ),
        (_FOLLOWS,),
    ),
    Tutorial(
        "pytorch/examples: mnist/main.py",
        """
class Net(nn.Module):
    def __init__(self):
        super(Net, self).__init__()
        self.conv1 = nn.Conv2d(1, 32, 3, 1)
        self.conv2 = nn.Conv2d(32, 64, 3, 1)
        self.dropout1 = nn.Dropout(0.25)
        self.dropout2 = nn.Dropout(0.5)
        self.fc1 = nn.Linear(9216, 128)
        self.fc2 = nn.Linear(128, 10)

    def forward(self, x):
        x = self.conv1(x)
        x = F.relu(x)
        x = self.conv2(x)
        x = F.relu(x)
        x = F.max_pool2d(x, 2)
        x = self.dropout1(x)
        x = torch.flatten(x, 1)
        x = self.fc1(x)
        x = F.relu(x)
        x = self.dropout2(x)
        x = self.fc2(x)
        output = F.log_softmax(x, dim=1)
        return output


def train(args, model, device, train_loader, optimizer, epoch):
    model.train()
    for batch_idx, (data, target) in enumerate(train_loader):
        output = model(data)
        loss = F.nll_loss(output, target)


def main():
    parser = argparse.ArgumentParser(description='PyTorch MNIST Example')
    args = parser.parse_args()
    model = Net().to(device)
    for epoch in range(1, args.epochs + 1):
        train(args, model, device, train_loader, optimizer, epoch)


if __name__ == '__main__':
    main()
""",
        _net(
            *(_conv(32), _conv(64), MaxPool2d(), Dropout(p=0.25)),
            *(Flatten(), Linear(out_features=128), Dropout(p=0.5), Output()),
        ),
        (_FOLLOWS,),
    ),
    Tutorial(
        "pytorch.org: the older neural networks tutorial",
        """
class Net(nn.Module):

    def __init__(self):
        super(Net, self).__init__()
        self.conv1 = nn.Conv2d(1, 6, 5)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(16 * 5 * 5, 120)
        self.fc2 = nn.Linear(120, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), (2, 2))
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = x.view(-1, self.num_flat_features(x))
        x = F.relu(self.fc1(x))
        return self.fc2(x)

    def num_flat_features(self, x):
        size = x.size()[1:]  # all dimensions except the batch dimension
        num_features = 1
        for s in size:
            num_features *= s
        return num_features
""",
        _net(
            *(_conv(6, 5), MaxPool2d(), _conv(16, 5), MaxPool2d()),
            *(Flatten(), Linear(out_features=120), Output()),
            shape=(1, 32, 32),
        ),
        (_FOLLOWS,),
    ),
    Tutorial(
        "pytorch.org: quickstart",
        """
>>> class NeuralNetwork(nn.Module):
...     def __init__(self):
...         super().__init__()
...         self.flatten = nn.Flatten()
...         self.linear_relu_stack = nn.Sequential(
...             nn.Linear(28*28, 512),
...             nn.ReLU(),
...             nn.Linear(512, 512),
...             nn.ReLU(),
...             nn.Linear(512, 10)
...         )
...
...     def forward(self, x):
...         x = self.flatten(x)
...         logits = self.linear_relu_stack(x)
...         return logits
...
>>> model = NeuralNetwork().to(device)
>>> print(model)
NeuralNetwork(
  (flatten): Flatten(start_dim=1, end_dim=-1)
""",
        _net(Flatten(), Linear(out_features=512), Linear(out_features=512), Output()),
        (_FOLLOWS,),
    ),
    Tutorial(
        "pytorch.org: what is torch.nn really",
        """
class Mnist_CNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, kernel_size=3, stride=2, padding=1)
        self.conv2 = nn.Conv2d(16, 10, kernel_size=3, stride=2, padding=1)

    def forward(self, xb):
        xb = xb.view(-1, 1, 28, 28)
        xb = F.relu(self.conv1(xb))
        xb = F.relu(self.conv2(xb))
        xb = F.avg_pool2d(xb, 4)
        return xb.view(-1, xb.size(1))
""",
        _net(_conv(16, stride=2, padding=1), _conv(10, stride=2, padding=1), AvgPool2d(kernel_size=4), Flatten()),
        ("no output layer yet",),
    ),
    Tutorial(
        "Medium: MNIST handwritten digits in PyTorch",
        """
class CNN(nn.Module):
    def __init__(self):
        super(CNN, self).__init__()
        self.conv1 = nn.Sequential(
            nn.Conv2d(
                in_channels=1,
                out_channels=16,
                kernel_size=5,
                stride=1,
                padding=2,
            ),
            nn.ReLU(),
            nn.MaxPool2d(kernel_size=2),
        )
        self.conv2 = nn.Sequential(
            nn.Conv2d(16, 32, 5, 1, 2),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        # fully connected layer, output 10 classes
        self.out = nn.Linear(32 * 7 * 7, 10)
    def forward(self, x):
        x = self.conv1(x)
        x = self.conv2(x)
        # flatten the output of conv2 to (batch_size, 32 * 7 * 7)
        x = x.view(x.size(0), -1)
        output = self.out(x)
        return output, x    # return x for visualization
cnn = CNN()
print(cnn)
""",
        _net(_conv(16, 5, padding=2), MaxPool2d(), _conv(32, 5, padding=2), MaxPool2d(), Flatten(), Output()),
        ("only the first", _FOLLOWS),
    ),
    Tutorial(
        "Blocks made by a function",
        """
def conv_block(in_f, out_f, *args, **kwargs):
    return nn.Sequential(
        nn.Conv2d(in_f, out_f, *args, **kwargs),
        nn.BatchNorm2d(out_f),
        nn.ReLU()
    )

class MyCNNClassifier(nn.Module):
    def __init__(self, in_c, n_classes):
        super().__init__()
        self.encoder = nn.Sequential(
            conv_block(in_c, 32, kernel_size=3, padding=1),
            conv_block(32, 64, kernel_size=3, padding=1)
        )
        self.decoder = nn.Sequential(
            nn.Linear(64 * 28 * 28, 1024),
            nn.Sigmoid(),
            nn.Linear(1024, n_classes)
        )

    def forward(self, x):
        x = self.encoder(x)
        x = x.view(x.size(0), -1) # flat
        x = self.decoder(x)
        return x

model = MyCNNClassifier(1, 10)
""",
        _net(
            *(_conv(32, padding=1, activation="none"), BatchNorm(), Activation()),
            *(_conv(64, padding=1, activation="none"), BatchNorm(), Activation()),
            *(Flatten(), Linear(out_features=1024, activation="sigmoid"), Output()),
        ),
        (_FOLLOWS,),
    ),
    Tutorial(
        "VGG from a list of numbers",
        """
cfg = {
    'VGG3': [8, 'M', 16, 16, 'M'],
}

class VGG(nn.Module):
    def __init__(self, vgg_name, num_classes=10):
        super(VGG, self).__init__()
        self.features = self._make_layers(cfg[vgg_name])
        self.classifier = nn.Linear(16, num_classes)

    def forward(self, x):
        out = self.features(x)
        out = out.view(out.size(0), -1)
        out = self.classifier(out)
        return out

    def _make_layers(self, cfg):
        layers = []
        in_channels = 3
        for x in cfg:
            if x == 'M':
                layers += [nn.MaxPool2d(kernel_size=2, stride=2)]
            else:
                layers += [nn.Conv2d(in_channels, x, kernel_size=3, padding=1),
                           nn.BatchNorm2d(x),
                           nn.ReLU(inplace=True)]
                in_channels = x
        layers += [nn.AdaptiveAvgPool2d((1, 1))]
        return nn.Sequential(*layers)

net = VGG('VGG3')
x = torch.randn(2, 3, 32, 32)
""",
        _net(
            *(_conv(8, padding=1, activation="none"), BatchNorm(), Activation(), MaxPool2d()),
            *(_conv(16, padding=1, activation="none"), BatchNorm(), Activation()),
            *(_conv(16, padding=1, activation="none"), BatchNorm(), Activation(), MaxPool2d()),
            *(GlobalAvgPool(), Output()),
            shape=(3, 28, 28),
        ),
        (_FOLLOWS,),
    ),
    Tutorial(
        "A ResNet block by hand",
        """
class BasicBlock(nn.Module):
    def __init__(self, inplanes, planes, stride=1, downsample=None):
        super().__init__()
        self.conv1 = nn.Conv2d(inplanes, planes, kernel_size=3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(planes, planes, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.downsample = downsample

    def forward(self, x):
        identity = x
        out = self.conv1(x)
        out = self.bn1(out)
        out = self.relu(out)
        out = self.conv2(out)
        out = self.bn2(out)
        if self.downsample is not None:
            identity = self.downsample(x)
        out += identity
        out = self.relu(out)
        return out

model = nn.Sequential(
    nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(),
    BasicBlock(16, 16),
    BasicBlock(16, 32, stride=2, downsample=nn.Conv2d(16, 32, 1, stride=2)),
    nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10),
)
""",
        _net(
            _conv(16, padding=1),
            *(
                Residual(
                    layers=(
                        *(_conv(size, stride=stride, padding=1, bias=False, activation="none"), BatchNorm()),
                        *(Activation(), _conv(size, padding=1, bias=False, activation="none"), BatchNorm()),
                    )
                )
                for size, stride in ((16, 1), (32, 2))
            ),
            *(GlobalAvgPool(), Output()),
        ),
        (_FOLLOWS,),
    ),
    Tutorial(
        "A notebook's cell, with names and nothing around it",
        """
    %matplotlib inline
    !pip install torch
    net = nn.Sequential(OrderedDict([
        ('conv1', nn.Conv2d(3, 8, (3, 3), padding='same')),
        ('act1', nn.LeakyReLU(0.2)),
        ('pool', nn.AvgPool2d(kernel_size=[2, 2])),
        ('drop', nn.Dropout2d(p=0.1)),
        ('flat', nn.Flatten()),
        ('out', nn.LazyLinear(2)),
        ('prob', nn.Softmax(dim=1)),
    ])).cuda()
""",
        _net(
            *(_conv(8, padding="same", activation="none"), Activation(activation="leaky_relu", negative_slope=0.2)),
            *(AvgPool2d(), Dropout(p=0.1), Flatten(), Output()),
            shape=(3, 28, 28),
            classes=2,
        ),
        ("drops whole channels", "is assumed"),
    ),
    Tutorial(
        "A multilayer perceptron that is flattened in the training loop",
        """
input_size = 784
hidden_sizes = [128, 64]
output_size = 10
model = nn.Sequential(nn.Linear(input_size, hidden_sizes[0]),
                      nn.ReLU(),
                      nn.Linear(hidden_sizes[0], hidden_sizes[1]),
                      nn.ReLU(),
                      nn.Linear(hidden_sizes[1], output_size),
                      nn.LogSoftmax(dim=1))
for images, labels in trainloader:
    images = images.view(images.shape[0], -1)
    loss = criterion(model(images), labels)
""",
        _net(Flatten(), Linear(out_features=128), Linear(out_features=64), Output()),
        ("Flatten was inserted first", _FOLLOWS),
    ),
    Tutorial(
        "A loop that builds",
        """
model = Sequential()
model.add(InputLayer(input_shape=(28, 28, 1)))
for filters in (8, 16):
    model.add(Conv2D(filters, 3))
    model.add(ReLU())
model.add(Flatten())
model.add(Dense(units=10, activation='softmax'))
""",
        _net(_conv(8), _conv(16), Flatten(), Output()),
    ),
    Tutorial(
        "Keras: a vector that is given its shape back",
        """
model = keras.Sequential([
    keras.layers.InputLayer(input_shape=(28, 28)),
    keras.layers.Reshape(target_shape=(28, 28, 1)),
    keras.layers.ZeroPadding2D((1, 1)),
    keras.layers.Conv2D(filters=12, kernel_size=(3, 3), activation=keras.activations.relu),
    keras.layers.Flatten(),
    keras.layers.Dense(10, activation='sigmoid'),
])
""",
        _net(_conv(12, padding=1), Flatten(), Output()),
        ("activation sigmoid of the last layer is omitted",),
    ),
)
